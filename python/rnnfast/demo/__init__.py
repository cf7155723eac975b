"""The main job: models trained and judged on data that every Python installation carries."""

from rnnfast.demo.results import Result as Result
from rnnfast.demo.results import Settings as Settings
from rnnfast.demo.runner import main as main
from rnnfast.demo.tasks import TASKS as TASKS
