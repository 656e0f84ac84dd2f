# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The training loop, on accelerate."""

import math
import time
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from transformers.utils import logging
from transformers.utils.logging import tqdm

from ..files.strict_json import to_json
from ..signals.spectrograms import multi_resolution_stft_loss
from .adversary import Adversary
from .averages import Averages
from .batches import TrainingBatches
from .checkpoints import (
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from .code_usage import CodeUsage
from .configuration import TrainingConfig
from .data import Clips
from .hearing import Hearing
from .learner import Learner
from .losses import FULL_BAND, mel_loss, sub_band_stft_loss
from .recordings import TrainingClip
from .validation import evaluate_learner

logger = logging.get_logger(__name__)

# Draws that are far from those of the training; a streamed dataset has lanes of its own for them.
FITTED = 2**40
EVALUATED = 2**41
EVALUATED_WINDOWS = 16  # in a clip, 3.84 s
EVALUATED_WHOLE = 33  # windows of a recording with a text, at most, for it to be heard whole: 7.92 s
MEASURED_CLIPS = 32  # on which Whisper's channels are measured


class CodecTrainer:
    """
    Trains a codec. Everything random is a function of the seed, the step and the number of the clip: a run that was
    killed ends with the weights that it would have had.

    Args:
        learner (`Learner`): What learns. `learner.fold()` is the codec when `train` has returned.
        config (`TrainingConfig`): The run.
        clips (`Clips`): To learn from.
        eval_clips (`Clips`, *optional*): To evaluate on; by default other draws of `clips`.
        accelerator (`Accelerator`, *optional*): By default one as the configuration has it.
        hearing (`Hearing`, *optional*): What Whisper hears, for the feature loss and the learner's head.
    """

    def __init__(
        self,
        learner: Learner,
        config: TrainingConfig,
        clips: Clips,
        eval_clips: Clips | None = None,
        accelerator: Accelerator | None = None,
        hearing: Hearing | None = None,
    ):
        self.config, self.clips, self.eval_clips = config, clips, eval_clips
        self.output_dir = Path(config.output_dir)
        self.accelerator = accelerator or make_accelerator(config)
        self.device = self.accelerator.device
        # another share of the parameters learns before quantization starts than after
        self.learner, self.codec = learner.to(self.device), learner.model.config
        self.hearing = hearing and hearing.to(self.device)
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter in learner.parameters() if parameter.requires_grad],
            lr=config.learning_rate,
            betas=(0.8, 0.99),
            eps=1e-6,
            weight_decay=1e-4,
            fused=True,
        )
        self.ddp, self.optimizer = self.accelerator.prepare(learner, self.optimizer)
        self.adversary = None
        if config.adversarial_weight:
            self.adversary = Adversary(config, self.codec.sampling_rate, self.accelerator)
        if config.compile:
            learner.compile()
        self.averages = Averages(learner, config.ema_decay)
        self.usage = CodeUsage(self.codec.codebook_sizes, self.device)
        self.step, self.minutes = 0, 0.0
        self.fitted = False  # whether the codebooks have been fitted: quantization begins with that

    # ---- The loop

    @property
    def checkpoint(self) -> Path:
        return self.output_dir / "checkpoint.safetensors"

    @property
    def finished(self) -> bool:
        return self.step >= self.config.max_steps or self.minutes >= self.config.max_minutes

    def train(self) -> bool:
        """
        Runs to the end of the configuration, from the checkpoint where there is one.

        Returns:
            Whether the run has come to its end, or was stopped by `stop_minutes`.

        Raises:
            FloatingPointError: If a loss is no longer finite.
        """
        config, accelerator = self.config, self.accelerator
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.is_file():
            self.load()
        if config.freeze_codes and not self.fitted:
            raise ValueError(f"`freeze_codes` keeps codes, but {config.init_from} had not begun to quantize.")
        self.measure_hearing()
        if config.tracker:
            accelerator.init_trackers("llm_codec", config={k: str(v) for k, v in vars(config).items()})
        batches = TrainingBatches(
            self.clips, config, self.codec.pad_to_multiple_of, accelerator.process_index, accelerator.num_processes
        )
        per_step = config.gradient_accumulation_steps
        loader = iter(
            DataLoader(
                batches,
                batch_size=None,
                sampler=range(self.step * per_step, config.max_steps * per_step),
                num_workers=config.dataloader_num_workers,
            )
        )
        self.learner.train()
        started, last = self.minutes, time.monotonic()
        progress = tqdm(total=config.max_steps, initial=self.step, disable=not accelerator.is_main_process)
        while not self.finished and self.minutes - started < config.stop_minutes:
            if not self.fitted and self.step >= config.quantize_after:
                self.fit_codebooks()
            losses = self.train_step([next(loader) for _ in range(per_step)])
            # all processes go by one clock, or one would stop while the others wait for it
            now = time.monotonic()
            seconds = torch.tensor(now - last, device=self.device)
            self.minutes, last = self.minutes + accelerator.reduce(seconds, "mean").item() / 60, now
            self.step += 1
            progress.update()
            if self.step % config.log_steps == 0 or self.finished:
                record = {"step": self.step, "minutes": round(self.minutes, 2), **losses}
                if self.fitted:
                    record |= self.usage.report()
                self.log(record)
                progress.set_postfix(mel=losses.get("mel"), refresh=False)
            if self.step % config.save_steps == 0 or self.finished:
                self.save()
            if self.step % config.eval_steps == 0 or self.finished:
                self.evaluate()
        progress.close()
        if not self.finished:
            self.save()
        accelerator.end_training()
        if self.finished:
            self.averages.put()
        return self.finished

    def train_step(self, batches: list[dict]) -> dict[str, float]:
        """One step of the optimizers, of all its batches. Returns the weighted losses, their means over processes."""
        config, accelerator = self.config, self.accelerator
        for optimizer, peak in self.optimizers():
            for group in optimizer.param_groups:
                group["lr"] = peak * self.schedule()
        quantize = self.fitted
        layers = len(self.codec.codebook_sizes)
        dead = [self.usage.dead(k, config.dead_after) for k in range(layers)] if config.dead_code_weight else None
        means, counts = {}, None
        for batch in batches:
            audio, adversary = batch["audio"].to(self.device), self.adversary_plays
            models = [self.ddp, self.adversary.ddp] if adversary else [self.ddp]
            with accelerator.accumulate(*models), accelerator.autocast():
                heard, targets = self.listen(audio)
                estimate, losses, codes = self.ddp(
                    audio,
                    self.noises(batch["indices"], audio.shape[-1]),
                    quantize=quantize,
                    layers_kept=self.layers_kept(batch["indices"]) if quantize else None,
                    dead=dead,
                    texts=batch["texts"],
                    covers=batch["covers"],
                    heard=targets,
                )
                estimate = estimate.float()
                learned = {"discriminator": self.adversary.learn(estimate.detach(), audio)} if adversary else {}
                losses |= self.reconstruction_losses(estimate, audio)
                if self.features_matter:
                    losses["feature"] = self.hearing.feature_loss(estimate, heard, config.feature_layers)
                losses = {name: getattr(config, f"{name}_weight") * value for name, value in losses.items()}
                loss = sum(losses.values())
                if not loss.isfinite():
                    raise FloatingPointError(
                        f"The loss of step {self.step} is {loss.item()}; lower the learning rate. The last checkpoint "
                        f"is of {self.checkpoint}."
                    )
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    learning = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
                    norm = accelerator.clip_grad_norm_(learning, config.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for name, value in (losses | learned).items():
                means[name] = means.get(name, 0.0) + value.detach() / len(batches)
            if codes:
                new = self.usage.count(codes)
                counts = new if counts is None else [a + b for a, b in zip(counts, new)]
        if counts is not None:
            counts = accelerator.reduce(torch.cat(counts), "sum").split(list(self.codec.codebook_sizes))
            self.usage.update(counts)
        self.averages.update(self.step)
        values = accelerator.reduce(torch.stack(list(means.values())), "mean").tolist()
        return {name: round(value, 5) for name, value in zip(means, values)} | {"grad_norm": round(norm.item(), 3)}

    # ---- Losses

    def reconstruction_losses(self, estimate: torch.Tensor, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses of audio that have a weight, `(batch, 1, samples)`."""
        config, rate = self.config, self.codec.sampling_rate
        losses = {
            "stft": lambda: multi_resolution_stft_loss(estimate, audio, **FULL_BAND),
            "sub_band_stft": lambda: sub_band_stft_loss(estimate, audio),
            "mel": lambda: mel_loss(estimate, audio, rate),
            "waveform": lambda: F.l1_loss(estimate, audio),
        }
        losses = {name: loss() for name, loss in losses.items() if getattr(config, f"{name}_weight")}
        if self.adversary_plays:
            losses |= self.adversary.losses(estimate, audio)
        return losses

    @property
    def features_matter(self) -> bool:
        """Whether the feature loss counts at this step."""
        return bool(self.config.feature_weight) and self.step >= self.config.feature_after

    def listen(self, audio: torch.Tensor) -> tuple[dict[int, torch.Tensor], torch.Tensor | None]:
        """What Whisper hears in the originals, layer by layer, and what the head is to predict of it; one pass."""
        config, learner = self.config, self.learner
        to_head = config.head_layers if learner.head is not None and not learner.frozen else []
        layers = {*to_head, *(config.feature_layers if self.features_matter else [])}
        if not layers:
            return {}, None
        heard = self.hearing.listen(audio, sorted(layers))
        groups = audio.shape[-1] // self.codec.group_length
        return heard, self.hearing.targets(heard, to_head, groups) if to_head else None

    def measure_hearing(self) -> None:
        """Measures Whisper's channels where that has not been done; every process does the same."""
        if self.hearing is not None and self.hearing.unmeasured:
            samples = self.config.max_windows * self.codec.pad_to_multiple_of
            drawn = (self.clips.draw(FITTED + i, samples).audio[None] for i in range(MEASURED_CLIPS))
            self.hearing.measure([audio.to(self.device) for audio in drawn], samples // self.codec.group_length)

    @property
    def adversary_plays(self) -> bool:
        return self.adversary is not None and self.step >= self.config.adversarial_after

    # ---- What is drawn: a function of seed and number of the clip

    def noises(self, indices: list[int], samples: int) -> list[torch.Tensor | None]:
        """The decoder's noise of each clip, `(batch, steps, 1)` per block."""
        frames, items = samples // self.codec.hop_length, []
        for index in indices:
            generator = torch.Generator(self.device).manual_seed((self.config.seed << 44) + index)
            items.append(self.learner.model.decoder.draw_noise(0, frames, self.device, 1, generator))
        return [None if noise[0] is None else torch.cat(noise) for noise in zip(*items)]

    def layers_kept(self, indices: list[int]) -> torch.LongTensor | None:
        """From how many layers each clip is decoded, `(batch,)`: mostly all, so that fewer are intelligible too."""
        layers = len(self.codec.codebook_sizes)
        if not self.config.layer_dropout or layers < 2:
            return None
        draws = [np.random.default_rng((self.config.seed, index, 2)) for index in indices]
        kept = [draw.integers(1, layers) if draw.random() < self.config.layer_dropout else layers for draw in draws]
        return torch.tensor(kept, device=self.device)

    def schedule(self) -> float:
        """The learning rate as a share of its peak."""
        config = self.config
        progress = min(1.0, max(self.step / config.max_steps, self.minutes / config.max_minutes))
        return min(1.0, (self.step + 1) / config.warmup_steps) * (0.505 + 0.495 * math.cos(math.pi * progress))

    def optimizers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        optimizers = [(self.optimizer, self.config.learning_rate)]
        if self.adversary is not None:
            optimizers.append((self.adversary.optimizer, self.config.discriminator_learning_rate))
        return optimizers

    # ---- Codebooks and averages

    def fit_codebooks(self) -> None:
        """Fits the codebooks to the latents of clips drawn for that; every process does the same."""
        samples = self.config.max_windows * self.codec.pad_to_multiple_of
        drawn = (self.clips.draw(FITTED + i, samples).audio[None] for i in range(self.config.fitted_clips))
        clips = [audio.to(self.device) for audio in drawn]
        with torch.compiler.set_stance("force_eager"):
            self.learner.fit_codebooks(clips, self.config.fitted_components)
        self.averages.restart()
        self.fitted = True

    # ---- Evaluation, logs, checkpoints

    @cached_property
    def evaluated(self) -> list[TrainingClip]:
        """The clips of every evaluation. Recordings with a text are whole, so that their words can be counted."""
        window, clips = self.codec.pad_to_multiple_of, self.eval_clips or self.clips
        samples, whole = EVALUATED_WINDOWS * window, EVALUATED_WHOLE * window
        return [clips.draw(EVALUATED + i, samples, whole) for i in range(self.config.eval_clips)]

    def evaluate(self) -> None:
        """Evaluates the averaged weights on the main process."""
        if not self.accelerator.is_main_process:
            return
        self.learner.eval()
        with self.averages.in_place():
            metrics = evaluate_learner(
                self.learner,
                self.evaluated,
                self.config,
                self.fitted,
                self.output_dir / "samples",
                self.step,
                self.accelerator,
            )
        self.learner.train()
        self.log({"step": self.step, "minutes": round(self.minutes, 2), "evaluation": metrics})

    def log(self, record: dict) -> None:
        if not self.accelerator.is_main_process:
            return
        with open(self.output_dir / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(to_json(record) + "\n")
        logger.info("%s", record)
        if self.config.tracker:
            values = {}
            for name, value in (record | record.get("evaluation", {})).items():
                if isinstance(value, list):
                    values |= {f"{name}/layer_{layer}": entry for layer, entry in enumerate(value)}
                elif isinstance(value, (int, float)) and name != "step":
                    values[name] = value
            self.accelerator.log(values, step=self.step)

    def save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = with_prefix("learner", dict(self.learner.named_parameters()))
        tensors |= with_prefix("average", self.averages.named())
        tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
        tensors |= with_prefix("usage", self.usage.tensors())
        if self.hearing is not None:
            tensors |= with_prefix("hearing", dict(self.hearing.named_buffers()))
        if self.adversary is not None:
            tensors |= self.adversary.tensors()
        save_checkpoint(self.checkpoint, tensors, {"step": self.step, "minutes": self.minutes, **self.quantization})

    @property
    def quantization(self) -> dict:
        """How far quantization has come, for a checkpoint."""
        return {"fitted": self.fitted, "latent_variance": self.learner.latent_variance}

    def load_quantization(self, state: dict) -> None:
        self.fitted, self.learner.latent_variance = state["fitted"], state["latent_variance"]

    @torch.no_grad()
    def load(self) -> None:
        """
        Goes on from the run's checkpoint.

        Raises:
            ValueError: If it is of another model.
        """
        tensors, state = load_checkpoint(self.checkpoint)
        saved, own = without_prefix("learner", tensors), dict(self.learner.named_parameters())
        fits = {n: t.shape for n, t in saved.items()} == {n: t.shape for n, t in own.items()}
        if not fits or self.adversary is not None and not self.adversary.load_tensors(tensors):
            raise ValueError(
                f"{self.checkpoint} is of another model: set `codec`, `language_model`, the guidance and the heads as "
                "in that run, or name another `output_dir`."
            )
        for name, parameter in own.items():
            parameter.copy_(saved[name])
        self.averages.load(without_prefix("average", tensors))
        load_optimizer_tensors(self.optimizer, without_prefix("optimizer", tensors))
        self.usage.load_tensors(without_prefix("usage", tensors))
        if self.hearing is not None:
            self.hearing.load_state_dict(without_prefix("hearing", tensors), strict=False)
        self.step, self.minutes = state["step"], state["minutes"]
        self.load_quantization(state)
        logger.info("Going on with %s at step %d.", self.checkpoint, self.step)


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Accelerate, as a configuration asks for it."""
    # it keeps the precision of a process's first run and refuses any other for the next one, in a notebook for instance
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != config.mixed_precision:
        AcceleratorState._reset_state()
    set_seed(config.seed)
    return Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        log_with=config.tracker,
        project_dir=config.output_dir,
        # before quantization starts, the projections get no gradients
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
