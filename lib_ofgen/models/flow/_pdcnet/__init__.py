"""PDC-Net+ (Truong et al. 2021) in plain PyTorch, written from its equations.

Papers: GLU-Net (CVPR 2020), GOCor (NeurIPS 2020), PDC-Net (arXiv 2101.01710), PDC-Net+
(arXiv 2109.13912). Parameter names are those of the published checkpoint. This package imports
torch, so only `flow.pdcnet` imports it, and only when a network is needed.
"""

from __future__ import annotations

from lib_ofgen.models.flow._pdcnet.network import Estimate, Features, Filters, PDCNet, network_size

__all__ = ["Estimate", "Features", "Filters", "PDCNet", "network_size"]
