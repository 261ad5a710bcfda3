#!/usr/bin/env bash
# Build the image of this commit for amd64 and arm64, and push it. docs/guides/image.md explains it.
#   IMAGE=registry.example/triptych bash scripts/image.sh
# PACKAGES=gpu makes the one with CUDA.
# Two builds of a commit have the same layers: bases by digest, packages by hash, times of the commit.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${TARGET:-service} platforms=${PLATFORMS:-linux/amd64,linux/arm64} packages=${PACKAGES:-image}
command -v docker >/dev/null || { echo "error: docker with buildx is needed." >&2; exit 1; }
[ -n "${IMAGE:-}" ] || { echo "error: set IMAGE to the image's name without a tag." >&2; exit 1; }
case "$target" in
    service | lambda) ;;
    *) echo "error: TARGET must be service or lambda, not $target." >&2; exit 1 ;;
esac
# Lambda takes neither images of several platforms nor attestations beside an image.
if [ "$target" = lambda ] && [[ "$platforms" == *,* ]]; then
    echo "error: set PLATFORMS to one platform for Lambda: linux/arm64 or linux/amd64." >&2
    exit 1
fi
case "$packages" in
    image) ;;
    gpu)
        if [ "$target" != service ] || [ "$platforms" != linux/amd64 ]; then
            echo "error: PACKAGES=gpu is for TARGET=service and PLATFORMS=linux/amd64 alone." >&2
            exit 1
        fi
        ;;
    *) echo "error: PACKAGES must be image or gpu, not $packages." >&2; exit 1 ;;
esac
if [ -n "$(git status --porcelain)" ]; then
    echo "error: what is not committed would be in the image, and its commit would not say so." >&2
    exit 1
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
tag="$IMAGE:$version" name=$target
if [ "$packages" = gpu ]; then
    tag="$tag-gpu" name="$target-gpu"
fi
attested=(--provenance=mode=max --sbom=true)
if [ "$target" = lambda ]; then
    tag="$tag-lambda"
    attested=(--provenance=false --sbom=false)
fi
cache=()
# Where builders keep layers: compiling opentsne is one, and changes with its lock alone.
[ -z "${CACHE:-}" ] || cache=(--cache-from "type=registry,ref=$CACHE" --cache-to "type=registry,ref=$CACHE,mode=max")
mkdir -p dist
docker buildx build --target "$target" --platform "$platforms" "${attested[@]}" \
    ${cache[@]+"${cache[@]}"} \
    --build-arg "PACKAGES=$packages" --build-arg "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)" \
    --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
    --metadata-file "dist/image-$name.json" \
    --output "type=image,name=$tag,push=true,rewrite-timestamp=true" .
digest=$(sed -n 's/.*"containerimage.digest": "\(sha256:[0-9a-f]*\)".*/\1/p' "dist/image-$name.json")
[ -n "$digest" ] || { echo "error: the builder named no digest." >&2; exit 1; }
echo "$tag@$digest"
