"""Notes: a FastMCP server on standard input and output that says of itself what a file says.

Started as `python notes.py WORDS`; WORDS is a JSON file with `instructions`, `tool`, `prompt` and `template`, each a text, and
`argument`, the name of the one argument that its tool takes. It is read once, at the start, as the words of an installed package
are.
"""

import json
import sys

from fastmcp import FastMCP
from fastmcp.tools import Tool

with open(sys.argv[1], encoding="utf-8") as file:
    words = json.load(file)

server = FastMCP("Notes", version="1.0.0", instructions=words["instructions"])


def read_note(name: str) -> str:
    return f"The note {name}."


def read_note_by_title(title: str) -> str:
    return f"The note {title}."


reads = {"name": read_note, "title": read_note_by_title}[words["argument"]]
server.add_tool(Tool.from_function(reads, name="read_note", description=words["tool"]))


@server.prompt(name="summarise", description=words["prompt"])
def summarise(name: str) -> str:
    return f"Summarise the note {name}."


@server.resource("note://{name}", name="note", description=words["template"])
def note(name: str) -> str:
    return f"The note {name}."


server.run(transport="stdio", show_banner=False)
