"""Write the JSON Schemas of the package from its types.

    python scripts/write_schemas.py

``histnu/data/schemas/``: ``result.json`` (of every verb), ``results.json`` (the document of
a study) and ``study.json`` (what ``study.yaml`` may say). A test compares them with the types.
"""

from __future__ import annotations

from histnu.core.serialize import write_json
from histnu.core.tables import data_path
from histnu.studies.schemas import schemas


def main() -> None:
    """Write every schema."""
    for name, document in schemas().items():
        path = data_path(f"schemas/{name}.json")
        write_json(path, document)
        print(path.name)


if __name__ == "__main__":
    main()
