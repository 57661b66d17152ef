# SPDX-License-Identifier: Apache-2.0
"""Who may do what: policies, read and evaluated as IAM does, and the requests to this cloud that they decide.

`policies`, `conditions`, `condition_keys`, `patterns` and `verdicts` are pure: they take values and return values.

No package on PyPI evaluates a request (November 2026): policyuniverse, parliament, policy_sentry and cloudsplaining
read or judge documents, iam-ape unites an account's policies, principalmapper has had no release since 2022 and is
AGPL, as is npm's @cloud-copilot/iam-simulate; moto's own knows neither Resource, Condition nor resource policies.
"""
