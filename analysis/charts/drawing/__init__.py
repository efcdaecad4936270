"""What charts are drawn with: their data, marks, axes, colours and SVG."""
