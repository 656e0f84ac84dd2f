# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The plain recipe: reconstruction and quantization losses, no adversary."""

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import DataLoader
from transformers.utils import logging
from transformers.utils.logging import tqdm

from ..layers_llm_codec import LLMCodecConv, LLMCodecDownsample, LLMCodecSnake, LLMCodecUpsample
from ..modeling_llm_codec import LLMCodecModel
from .codebooks import ProjectedCodebooks, principal_components
from .data import RandomClips
from .losses import multi_resolution_stft_loss

logger = logging.get_logger(__name__)


@dataclass
class TrainingConfig:
    """
    Args:
        data_dir: Folder of audio, a subfolder a source (see [`RandomClips`]).
        output_dir: Folder of the checkpoint and the log; a checkpoint found there is resumed.
        windows: Length of a clip in units of `config.pad_to_multiple_of`.
        batch_size: Clips a step.
        max_steps: Steps after which the run ends.
        max_minutes: Minutes after which the run ends, whichever comes first; the learning rate falls with the nearer.
        learning_rate: Its peak, after `warmup_steps`; then half a cosine, to nearly zero.
        stft_weight, waveform_weight, commitment_weight, codebook_weight: Weights of the losses.
        quantize_after: Steps of plain autoencoding; then the codebooks are fitted to its latents, and quantization
            starts.
        save_steps: Steps between checkpoints.
        seed: Seed of the weights, of the data order and of the noise.
        compile: Whether to compile the activations: on 2 CPU cores a step takes 0.7 of the time.
        dataloader_num_workers: Processes that read clips.
    """

    data_dir: str
    output_dir: str
    windows: int = 5
    batch_size: int = 8
    max_steps: int = 100_000
    max_minutes: float = math.inf
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    stft_weight: float = 1.0
    waveform_weight: float = 2.0
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0
    quantize_after: int = 400
    save_steps: int = 250
    seed: int = 0
    compile: bool = False
    dataloader_num_workers: int = 0


def add_weight_norm(model: nn.Module) -> None:
    """Weight normalization (arXiv 1602.07868) on every convolution, as the original trains."""
    for module in list(model.modules()):
        if isinstance(module, (LLMCodecConv, LLMCodecDownsample, LLMCodecUpsample)):
            parametrizations.weight_norm(module, dim=getattr(module, "weight_norm_dim", 0))


def fold_weight_norm(model: nn.Module) -> None:
    """Undoes `add_weight_norm`; the weights stay what they are."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")


class Trainer:
    """
    Trains a codec and its codebooks' projections.

    Args:
        model (`LLMCodecModel`): With fresh weights. `fold()` turns it into the trained model.
        codebooks (`ProjectedCodebooks`): A table a quantizer layer.
        config (`TrainingConfig`): The run.
    """

    def __init__(self, model: LLMCodecModel, codebooks: ProjectedCodebooks, config: TrainingConfig):
        self.model, self.codebooks, self.config = model, codebooks, config
        self.device = model.device
        add_weight_norm(model)
        if config.compile:
            # one compiled kernel for each of the shapes, of which there are more than the default limit
            torch._dynamo.config.recompile_limit = 64
            for module in model.modules():
                if isinstance(module, LLMCodecSnake):
                    module.compile(dynamic=False)
        self.modules = nn.ModuleDict({"model": model, "codebooks": codebooks})
        self.optimizer = torch.optim.AdamW(
            self.modules.parameters(), lr=config.learning_rate, betas=(0.8, 0.99), weight_decay=1e-4
        )
        self.step, self.minutes = 0, 0.0
        self.checkpoint = Path(config.output_dir) / "checkpoint.pt"

    def losses(self, audio: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.LongTensor | None]:
        """The weighted losses of `(batch, 1, samples)`, and the codes."""
        config = self.config
        generator = torch.Generator(self.device).manual_seed(config.seed * 2**32 + self.step)
        if self.step < config.quantize_after:
            latents, codes = self.model.encoder(audio), None
            noises = self.model.decoder.draw_noise(0, latents.shape[-1], self.device, len(audio), generator)
            estimate = self.model.decoder(latents, noises=noises)
        else:
            output = self.model(audio, generator=generator, codebooks=self.codebooks())
            estimate, codes = output.audio_values, output.audio_codes
        losses = {
            "stft": config.stft_weight * multi_resolution_stft_loss(estimate, audio),
            "waveform": config.waveform_weight * F.l1_loss(estimate, audio),
        }
        if codes is not None:
            losses["commitment"] = config.commitment_weight * output.commitment_loss.mean()
            losses["codebook"] = config.codebook_weight * output.codebook_loss.mean()
        return losses, codes

    @torch.no_grad()
    def fit_codebooks(self, clips: list[torch.Tensor]) -> None:
        """Fits every layer's projection to what it will quantize in these batches of audio."""
        model, layers = self.model, self.model.quantizer.layers
        latents = torch.cat([model.encoder(audio.to(self.device)) for audio in clips])
        self.centre_latents(latents)
        latents = torch.cat([model.encoder(audio.to(self.device)) for audio in clips])
        for k, layer in enumerate(layers):
            pooled = F.avg_pool1d(latents, layer.stride)
            self.codebooks.fit(k, pooled.transpose(1, 2).flatten(0, 1), mean_share=1 / (len(layers) - k))
            codebook = self.codebooks.project(k)
            entries = layer.lookup(layer.nearest(pooled, codebook)[0], codebook)
            latents = latents - entries.repeat_interleave(layer.stride, dim=-1)
            explained = 1 - latents.var(dim=(0, 2)).sum() / pooled.var(dim=(0, 2)).sum()
            logger.info("Layer %d fitted; its entries explain %.3f of the variance.", k, explained)

    def centre_latents(self, latents: torch.Tensor) -> None:
        """
        Moves the latents' mean away from the origin, as far as they spread for each layer, and the decoder with it.

        Layers choose entries by cosine, so around the origin they would see directions and no lengths.
        """
        flat = latents.transpose(1, 2).flatten(0, 1)
        mean, spread, directions = principal_components(flat, min(flat.shape))
        offset = directions[-1] * spread.norm() * len(self.model.quantizer.layers) - mean
        self.model.encoder.conv_out.bias += offset
        first = self.model.decoder.conv_in
        for conv in first if isinstance(first, nn.Sequential) else [first]:
            # what the offset adds to the output of a convolution, taken from its bias at the last
            offset = F.conv1d(
                offset[None, :, None].expand(-1, -1, conv.kernel_size[0]), conv.weight, groups=conv.groups
            )
            offset = offset[0, :, 0]
        conv.bias -= offset

    def learning_rate(self) -> float:
        config = self.config
        progress = min(1.0, max(self.step / config.max_steps, self.minutes / config.max_minutes))
        return (
            config.learning_rate
            * min(1.0, (self.step + 1) / config.warmup_steps)
            * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        )

    def train(self) -> None:
        """Runs to the end of the configuration, from the checkpoint where there is one."""
        config = self.config
        Path(config.output_dir).mkdir(parents=True, exist_ok=True)
        if self.checkpoint.is_file():
            self.load()
        else:
            torch.manual_seed(config.seed)
        clips = RandomClips(
            config.data_dir,
            config.windows * self.model.config.pad_to_multiple_of,
            self.model.config.sampling_rate,
            config.seed,
        )
        first, last = self.step * config.batch_size, config.max_steps * config.batch_size
        loader = DataLoader(
            clips, config.batch_size, sampler=range(first, last), num_workers=config.dataloader_num_workers
        )
        self.modules.train()
        used = [torch.zeros(size, dtype=torch.bool) for size in self.model.config.codebook_sizes]
        progress = tqdm(total=config.max_steps, initial=self.step, desc="Training")
        for audio in loader:
            start = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            if self.step == config.quantize_after:
                self.fit_codebooks([clips[i][None] for i in range(last, last + 256)])
            losses, codes = self.losses(audio.to(self.device))
            loss = sum(losses.values())
            if not loss.isfinite():
                raise FloatingPointError(f"The loss of step {self.step} is {loss.item()}; lower the learning rate.")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            self.minutes += (time.monotonic() - start) / 60
            if codes is not None:
                for seen, layer_codes in zip(used, self.model.split_layers(codes)):
                    seen[layer_codes.flatten().cpu()] = True
            progress.update()
            ends = self.step >= config.max_steps or self.minutes >= config.max_minutes
            if self.step % config.save_steps == 0 or ends:
                record = {name: round(value.item(), 5) for name, value in losses.items()}
                record |= {"step": self.step, "minutes": round(self.minutes, 2), "grad_norm": round(norm.item(), 3)}
                record["entries_used"] = [int(seen.sum()) for seen in used]  # since the last record
                used = [torch.zeros_like(seen) for seen in used]
                with open(Path(config.output_dir) / "log.jsonl", "a") as log:
                    log.write(json.dumps(record) + "\n")
                logger.info("%s", record)
                self.save()
            if ends:
                break
        progress.close()

    def save(self) -> None:
        state = {"modules": self.modules.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"step": self.step, "minutes": self.minutes, "config": asdict(self.config)}
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def load(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.minutes = state["step"], state["minutes"]
        logger.info("Resumed %s at step %d.", self.checkpoint, self.step)

    @torch.no_grad()
    def fold(self) -> LLMCodecModel:
        """The trained model in inference form: weight norm folded, codebooks projected in float64 and rounded once."""
        fold_weight_norm(self.model)
        projected = self.codebooks.double()()
        for layer, codebook in zip(self.model.quantizer.layers, projected):
            layer.set_codebook(codebook.float())
        return self.model.eval()
