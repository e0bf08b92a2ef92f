#!/usr/bin/env python3
"""Turns uap-core's regexes.yaml into regexes.json: the same entries in the same order, one a line. Needs PyYAML."""

import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as source:
    lists = yaml.safe_load(source)

blocks = []
for name, entries in lists.items():
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    blocks.append(f'"{name}": [\n{lines}\n]')
print("{\n" + ",\n".join(blocks) + "\n}")
