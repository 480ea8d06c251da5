"""What a script here is told: JSON, as its only argument. Does nothing."""

import json
import sys
from types import SimpleNamespace

JOB = json.loads(sys.argv[1], object_hook=lambda fields: SimpleNamespace(**fields))
