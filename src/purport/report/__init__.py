"""Pages: one self-contained HTML file, the same facts as JSON, every figure as SVG and PNG."""
