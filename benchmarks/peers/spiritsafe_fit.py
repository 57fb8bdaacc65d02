"""Our loop on a job: spiritsafe_fit.py FOLDER."""

from __future__ import annotations

import sys

import numpy as np
import torch
from training_job import Job, Stopwatch
from transformers import AutoModelForCausalLM, AutoTokenizer

from spiritsafe.distil.recipe import Train
from spiritsafe.distil.rows import TokenRow
from spiritsafe.distil.train import fit

torch.set_num_threads(1)
job = Job.read(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(job.folder, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(job.folder)
rows = [TokenRow(str(at), np.asarray(row["ids"], np.int32), row["start"]) for at, row in enumerate(job.rows)]


def settings(epochs: int) -> Train:
    return Train(epochs=epochs, batch_size=job.batch_size, learning_rate=job.learning_rate, threads=1)


fit(model, tokenizer, rows[: job.batch_size], settings(1))  # both warm up by one batch
watch = Stopwatch()
summary = fit(model, tokenizer, rows, settings(job.epochs))
watch.report(tokens=job.tokens, loss=summary.last_loss, torch=torch.__version__)
