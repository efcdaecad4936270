"""iperf3: its command line, its server, and what its versions report."""
