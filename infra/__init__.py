"""The AWS shape as one CloudFormation stack."""
