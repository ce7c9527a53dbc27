"""The models of the course, each a frozen config and one `nn.Module`: import what you need."""
