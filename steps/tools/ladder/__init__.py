"""The UDP ladder: the highest rate within a bound of loss, searched with iperf3."""
