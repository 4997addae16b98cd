"""Creating the tables of an app in one step, for its first migration (ADR 23)."""

from collections.abc import Iterator, Sequence

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from pgtrigger.compiler import Trigger


class AllAtOnce(Operation):
    """The operations that makemigrations wrote, for models that do not exist yet, as one.

    Django renders the models anew after each operation; here it does so once. Each table is created as it is
    in the end, with its triggers.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        vars(state).pop("apps", None)  # the rendered models; whoever asks for them next renders them
        for each in self.operations:
            each.state_forwards(app_label, state)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        new = list(_new(app_label, from_state, to_state))
        for model in new:
            if not model.options.get("proxy"):
                schema_editor.create_model(to_state.apps.get_model(app_label, model.name))
        for model in new:
            for trigger in _triggers(model):
                schema_editor.execute(trigger.install_sql, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        new = list(_new(app_label, to_state, from_state))
        for model in new:
            for trigger in _triggers(model):
                schema_editor.execute(trigger.uninstall_sql, params=None)
        for model in reversed(new):
            if not model.options.get("proxy"):
                schema_editor.delete_model(from_state.apps.get_model(app_label, model.name))

    def describe(self) -> str:
        return f"Create the tables of {len(self.operations)} operations at once"


def _new(app_label: str, before: ProjectState, after: ProjectState) -> Iterator[ModelState]:
    for key, model in after.models.items():
        if key[0] == app_label and key not in before.models:
            yield model


def _triggers(model: ModelState) -> list[Trigger]:
    return model.options.get("triggers", [])
