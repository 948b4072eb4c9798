"""Training on torch: one loop, one resumable folder and one way out to ONNX for every vision task."""
