# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec evaluate`."""

from argparse import ArgumentParser, Namespace

from .options import add_model, add_no_instruction, count, layers

TITLE = "Measures few-shot accuracy, and how sure it is."
DETAILS = (
    "Draws episodes, asks the language model and its controls, and writes a folder: every answer, a summary and a\n"
    "report with pictures. A run that was stopped goes on where it stopped. Prints the report's name."
)
EXAMPLES = (
    "evaluate --list",
    "evaluate percussion --root AUDIO/tasks --output_dir results",
    "evaluate clips/ --ways 2 --shots 1 3 5 --episodes 100 --output_dir results",
    "evaluate --scp acc_9way_1_shot.scp",
    "evaluate clips/ --server http://127.0.0.1:8000/v1 --output_dir results",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="a task's name, its YAML file, or a folder of clips")
    parser.add_argument("--list", action="store_true", help="print the tasks that ship with the package")
    parser.add_argument("--root", metavar="DIR", help="the folder that the tasks' folders of clips are in")
    parser.add_argument("--scp", metavar="FILE", help="episodes of the original's kind; says what they are worth")
    parser.add_argument("--audio_root", metavar="DIR", help="what the entries of --scp are relative to; then asks them")
    parser.add_argument("--output_dir", metavar="DIR", help="the folder to write, or to go on with")
    parser.add_argument("--ways", type=count, nargs="+", metavar="N", help="labels to choose from")
    parser.add_argument("--shots", type=count, nargs="+", metavar="K", help="examples per label")
    parser.add_argument("--episodes", type=count, metavar="N", help="episodes of each number of ways and of shots")
    parser.add_argument("--queries_per_support", type=count, metavar="N", help="queries that share their examples")
    parser.add_argument("--repeats", type=count, metavar="N", help="how often the examples stand in the prompt")
    parser.add_argument("--seconds", type=float, metavar="S", help="how much of a clip is taken")
    parser.add_argument("--layers", type=layers, help="layers of the codec in the prompt, such as 0 or 0,1,2")
    parser.add_argument("--seed", type=int, metavar="N", help="of the episodes")
    add_no_instruction(parser)
    parser.add_argument("--template", metavar="JSON", help="fields of a FewShotTemplate, as JSON")
    parser.add_argument(
        "--scoring", metavar="S", default="support_shuffled", help="what stands for the model; by default %(default)s"
    )
    parser.add_argument(
        "--generated", nargs="*", default=(), metavar="G", help="ways besides: generated, prefix_match, uniaudio"
    )
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="of audio answers; 0 by default")
    parser.add_argument("--top_p", type=float, default=1.0, metavar="P", help="of audio answers that are drawn")
    parser.add_argument("--language_model", metavar="LM", help="the language model, an id or a folder")
    parser.add_argument("--dtype", default="auto", metavar="T", help="of the language model: bfloat16, float32, …")
    parser.add_argument("--server", metavar="URL", help="ask a served model; its key from OPENAI_API_KEY, if any")
    parser.add_argument("--batch_size", type=count, default=64, metavar="N", help="prompts at once, at most")
    parser.add_argument("--num_processes", type=count, default=1, metavar="N", help="processes, by accelerate")
    add_model(parser)


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.evaluation.command import run

    for line in run(args):
        print(line, flush=True)
    return 0
