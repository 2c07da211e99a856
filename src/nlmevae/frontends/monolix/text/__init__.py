"""Mlxtran text to nodes: lines, blocks, one grammar."""
