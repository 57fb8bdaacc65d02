"""TRL's SFTTrainer on a job: trl_sft.py FOLDER. Checkpointing of activations, packing and reports are off."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from training_job import Job, Stopwatch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
job = Job.read(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(job.folder, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(job.folder)


def labels(row: dict[str, Any]) -> list[int]:
    return [-100] * row["start"] + row["ids"][row["start"] :]


def trainer(rows: list[dict[str, Any]], epochs: int) -> SFTTrainer:
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=job.batch_size,
        num_train_epochs=epochs,
        learning_rate=job.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=1,
        weight_decay=0.01,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        max_length=None,
        packing=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    data = Dataset.from_list([{"input_ids": row["ids"], "labels": labels(row)} for row in rows])
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)


trainer(job.rows[: job.batch_size], 1).train()  # both warm up by one batch
measured = trainer(job.rows, job.epochs)
watch = Stopwatch()
found = measured.train()
watch.report(
    tokens=job.tokens,
    loss=found.training_loss,
    torch=torch.__version__,
    trl=trl.__version__,
    transformers=transformers.__version__,
)
