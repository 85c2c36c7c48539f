"""``r2gen ask``: a question about a picture, answered by the frozen language model."""

from __future__ import annotations

import argparse

from r2gen_lib.commands.options import beams_option, checkpoint_option, decoding_choices
from r2gen_lib.quick_imports import quick_imports

NAME = "ask"
HELP = "ask a question about a picture"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    words = "PNG, JPEG or DICOM file of a frontal chest radiograph"
    parser.add_argument("picture", metavar="PICTURE", help=words)
    words = 'such as "Is there a pleural effusion?", "On which side is the pneumothorax?", "What is abnormal in this '
    words += 'radiograph?"'
    parser.add_argument("questions", nargs="+", metavar="QUESTION", help=words)
    checkpoint_option(parser, "laptop-ask")
    beams_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print each question with its answer."""
    with quick_imports():
        from r2gen_lib.data.images.decode import load_grey
        from r2gen_lib.inference.feature_cache import picture_pixels
        from r2gen_lib.inference.normal_picture import with_normal
        from r2gen_lib.model.r2gengpt import R2GenGPT

    grey = load_grey(args.picture)
    with quick_imports():
        model = R2GenGPT.from_trained(args.checkpoint)
    features = model.encode(picture_pixels(model, [grey]).to(model.device))
    decoding = with_normal(model, {"num_beams": 1, **decoding_choices(args)})  # as model.ask has it
    for question in args.questions:
        (answer,) = model.ask(question, features=features, **decoding)
        print(f"{question}\n{answer}\n", flush=True)
    return 0
