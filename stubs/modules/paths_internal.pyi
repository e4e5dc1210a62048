data_path: str
default_output_dir: str
models_path: str
