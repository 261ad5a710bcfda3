#!/usr/bin/env bash
# Remove a deployment to try things from AWS, with all its data. docs/guides/aws.md says what stays.
#   DOMAIN=… CERTIFICATE=… EMAIL=… PROFILE=dev bash scripts/destroy.sh
set -euo pipefail
cd "$(dirname "$0")/.."

: "${CERTIFICATE:?Set CERTIFICATE, as for the deployment.}"
: "${DOMAIN:?Set DOMAIN, as for the deployment.}"
: "${EMAIL:?Set EMAIL, as for the deployment.}"
profile=${PROFILE:-dev} shape=${SHAPE_OF_WORKERS:-ecs} region=${AWS_REGION:-eu-central-1}
stack="Triptych-$profile"
at_once=400 # Versions of one request: they are one argument, which Linux cuts at 128 KiB.

for tool in aws npm npx; do
    command -v "$tool" >/dev/null || { echo "error: $tool is needed." >&2; exit 1; }
done
# A deployment to rely on keeps its data whatever happens; a command does not talk it out of that.
if [ "$profile" != dev ]; then
    echo "error: $stack protects its database and its balancer; docs/guides/aws.md says how to remove it." >&2
    exit 1
fi
if [ "${CONFIRM:-}" != "$stack" ]; then
    echo "error: this deletes $stack in $region with all its data. To do it: CONFIRM=$stack make destroy" >&2
    exit 1
fi

npm ci --prefix infra --ignore-scripts --no-audit --no-fund --loglevel=error
# Delete all versions of all objects of a bucket, and the markers of deleted ones.
empty() {
    local page refused
    while true; do
        page=$(aws s3api list-object-versions --region "$region" --bucket "$1" --max-items "$at_once" \
            --query '{Objects: [Versions, DeleteMarkers][][].{Key: Key, VersionId: VersionId}, Quiet: `true`}' \
            --output json)
        case "$page" in *'"Key"'*) ;; *) return ;; esac
        refused=$(aws s3api delete-objects --region "$region" --bucket "$1" --delete "$page" \
            --query 'Errors[0].Message' --output text)
        case "$refused" in '' | None) ;; *) echo "error: $1 cannot be emptied: $refused" >&2; exit 1 ;; esac
    done
}

# CloudFormation deletes no bucket that holds anything: versions count, too.
for bucket in $(aws cloudformation describe-stack-resources --region "$region" --stack-name "$stack" \
    --query "StackResources[?ResourceType=='AWS::S3::Bucket'].PhysicalResourceId" --output text); do
    empty "$bucket"
done
npx --no --prefix infra -- cdk destroy -c "certificate=$CERTIFICATE" -c "domain=$DOMAIN" \
    -c "email=$EMAIL" -c "profile=$profile" -c "workers=$shape" -c "region=$region" --force
echo "$stack is gone. CDK's own stack CDKToolkit, with the images, is shared and stays."
