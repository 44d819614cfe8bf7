"""Validates compose.yaml and kubernetes.yaml by their published schemas, and prints them as one JSON object."""

import json
import sys

import compose_spec
import kubernetes_validate
import yaml

folder = sys.argv[1]
text = open(f"{folder}/compose.yaml").read()
compose_spec.PyCompose.from_yaml(text).validate()
documents = list(yaml.safe_load_all(open(f"{folder}/kubernetes.yaml")))
for document in documents:
    kubernetes_validate.validate(document, "1.33", strict=True)
print(json.dumps({"compose": yaml.safe_load(text), "kubernetes": documents}))
