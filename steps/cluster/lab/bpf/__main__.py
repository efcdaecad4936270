"""`python -m steps.cluster.lab.bpf` compiles the eBPF programs again and records it."""

import sys

from steps.cluster.lab.bpf.build import main

sys.exit(main())
