"""What measuring programs print, checked: bounds of size and of every figure, the plan, and each stream by itself."""
