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
# CloudFormation deletes no bucket that holds anything.
for bucket in $(aws cloudformation describe-stack-resources --region "$region" --stack-name "$stack" \
    --query "StackResources[?ResourceType=='AWS::S3::Bucket'].PhysicalResourceId" --output text); do
    aws s3 rm "s3://$bucket" --region "$region" --recursive --only-show-errors
done
npx --no --prefix infra -- cdk destroy -c "certificate=$CERTIFICATE" -c "domain=$DOMAIN" \
    -c "email=$EMAIL" -c "profile=$profile" -c "workers=$shape" -c "region=$region" --force
echo "$stack is gone. CDK's own stack CDKToolkit, with the images, is shared and stays."
