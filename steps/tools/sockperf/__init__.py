"""sockperf: response times without a load and beside one."""
