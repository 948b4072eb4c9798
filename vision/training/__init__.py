"""Training on torch: data, networks and one way out to ONNX for every vision task; the loop is shared.training's."""
