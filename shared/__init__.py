"""What all domains stand on: errors, weights, backends, prediction, evaluation, batch jobs and the command."""
