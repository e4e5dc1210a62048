class Scheduler:
    name: str
    label: str

schedulers: list[Scheduler]
