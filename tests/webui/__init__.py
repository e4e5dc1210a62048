"""The extension in a real webui.

Runs where `OFGEN_WEBUI` names the folder of an AUTOMATIC1111 webui and `OFGEN_WEBUI_PYTHON` its
interpreter (else that of the tests); every test here is skipped where it does not. Nothing is
fetched but by the tests of `install.py`, which take packages from the index that pip is set to, and
nothing is written into the webui's folder: its data folder is a temporary one into which the
extension is linked, with checkpoints made by `tiny_checkpoint.py`.

The webui is started on the CPU without its own installing, so that its requirements and
repositories must be in place, our own among the former (`python install.py` in its environment).
Of CLIP it wants the tokenizer and the configuration of openai/clip-vit-large-patch14 in the hub's
cache, which `HF_HOME` names as usual; it is started with `HF_HUB_OFFLINE=1`. Other variables of the
environment reach it as they are.
"""
