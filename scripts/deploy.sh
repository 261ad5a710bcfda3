#!/usr/bin/env bash
# Deploy to AWS, or bring a deployment up to date. Safe to repeat. docs/guides/aws.md explains it.
#   CERTIFICATE=arn:… DOMAIN=triptych.example EMAIL=ops@example PROFILE=prod bash scripts/deploy.sh
set -euo pipefail
cd "$(dirname "$0")/.."

: "${CERTIFICATE:?Set CERTIFICATE to the ARN of a certificate in ACM for DOMAIN.}"
: "${DOMAIN:?Set DOMAIN to the name under which the stack is reached.}"
: "${EMAIL:?Set EMAIL to who is told of alarms and of the budget.}"
profile=${PROFILE:-dev} shape=${SHAPE_OF_WORKERS:-ecs} region=${AWS_REGION:-eu-central-1}
stack="Triptych-$profile"
# Waits of the AWS CLI, ten minutes each: a long migration may take a day.
task_waits=144
cdk=(npx --no --prefix infra -- cdk)
context=(-c "certificate=$CERTIFICATE" -c "domain=$DOMAIN" -c "email=$EMAIL"
    -c "profile=$profile" -c "workers=$shape" -c "region=$region")
# Each of these is taken from the variable of its name in capitals, if that is set.
for key in source source_token source_token_for source_buckets prefix egress traces database_resource \
    reads reads_secret acquire_gpu \
    oidc_issuer oidc_client_id oidc_secret oidc_session_hours operators \
    oidc_authorization_endpoint oidc_token_endpoint oidc_user_info_endpoint; do
    variable=$(tr '[:lower:]' '[:upper:]' <<< "$key")
    [ -z "${!variable:-}" ] || context+=(-c "$key=${!variable}")
done
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1

for tool in aws docker npm npx; do
    command -v "$tool" >/dev/null || { echo "error: $tool is needed." >&2; exit 1; }
done

output() {
    aws cloudformation describe-stacks --region "$region" --stack-name "$stack" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" --output text
}

# Run a command in the migrate task, and fail as it fails.
run_task() {
    local overrides task code
    overrides=$(printf '{"containerOverrides":[{"name":"migrate","command":%s}]}' "$1")
    task=$(aws ecs run-task --region "$region" --cluster "$(output ClusterName)" \
        --task-definition "$(output MigrateTask)" --overrides "$overrides" \
        --capacity-provider-strategy "capacityProvider=$(output SteadyProvider),weight=1" \
        --network-configuration "awsvpcConfiguration={subnets=[$(output MigrateSubnets)],securityGroups=[$(output MigrateSecurityGroup)]}" \
        --query 'tasks[0].taskArn' --output text)
    for _ in $(seq "$task_waits"); do
        aws ecs wait tasks-stopped --region "$region" --cluster "$(output ClusterName)" --tasks "$task" && break
    done
    code=$(aws ecs describe-tasks --region "$region" --cluster "$(output ClusterName)" \
        --tasks "$task" --query 'tasks[0].containers[0].exitCode' --output text)
    [ "$code" = 0 ] || { echo "error: $1 ended with $code; see its log group." >&2; return 1; }
}

npm ci --prefix infra --ignore-scripts --no-audit --no-fund --loglevel=error
"${cdk[@]}" bootstrap "${context[@]}"
# Also where an earlier attempt was cut: it is idle until its last step.
first=$([ "$(output Idle 2>/dev/null)" = false ] || echo true)
if [ "$first" ]; then
    # Before there is a schema and a key, the services would refuse to start.
    "${cdk[@]}" deploy "${context[@]}" -c idle=true --require-approval never
    run_task '["migrate"]'
    # Its token was made by Secrets Manager, and is in no log. Doing it again changes nothing.
    run_task '["keys", "create", "first", "--scope", "operator", "--from-env", "FIRST_KEY"]'
    echo "The first API key is in Secrets Manager:"
    echo "  aws secretsmanager get-secret-value --region $region --secret-id $(output FirstKey) --query SecretString --output text"
fi
# From now on the API's new tasks migrate before they start, and all else waits for them.
"${cdk[@]}" deploy "${context[@]}" --require-approval never
# Long migrations, beside the new code; what was interrupted goes on.
[ "$first" ] || run_task '["migrate"]'
echo "Point $DOMAIN to $(output BalancerName); then: $(output Url)"
