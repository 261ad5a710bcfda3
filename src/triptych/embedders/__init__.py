"""Embedders: ONNX image encoders, and the one that ships with Triptych."""
