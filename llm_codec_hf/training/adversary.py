# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The adversary of a training: a discriminator with its optimizer, and what the codec learns by it."""

import torch
from accelerate import Accelerator

from .checkpoints import Tensors, load_optimizer_tensors, optimizer_tensors, with_prefix, without_prefix
from .configuration import TrainingConfig
from .discriminator import (
    MultiFrequencyDiscriminator,
    discriminator_loss,
    feature_matching_loss,
    generator_adversarial_loss,
)


class Adversary:
    """
    Learns to tell decoded audio from original audio.

    Args:
        config (`TrainingConfig`): The run.
        sampling_rate (`int`): Of the audio, in Hz.
        accelerator (`Accelerator`): The run's.
    """

    def __init__(self, config: TrainingConfig, sampling_rate: int, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.discriminator = MultiFrequencyDiscriminator(
            config.discriminator_hop_lengths, config.discriminator_channels, sampling_rate=sampling_rate
        )
        optimizer = torch.optim.AdamW(
            self.discriminator.parameters(),
            lr=config.discriminator_learning_rate,
            betas=(0.8, 0.99),
            eps=1e-6,
            fused=True,
        )
        self.ddp, self.optimizer = accelerator.prepare(self.discriminator, optimizer)

    def learn(self, estimate: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """
        A step of the discriminator.

        Args:
            estimate: Decoded audio without gradients, `(batch, 1, samples)`.
            audio: The original, of the same shape.

        Returns:
            Its loss, a scalar.
        """
        real, fake = self.ddp(audio), self.ddp(estimate)
        loss = discriminator_loss(real.logits, fake.logits, self.config.adversary)
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients:
            self.accelerator.clip_grad_norm_(self.discriminator.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def losses(self, estimate: torch.Tensor, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """The codec's losses, without weights: `"adversarial"` and `"feature_matching"`. The discriminator rests."""
        self.discriminator.requires_grad_(False)
        fake, real = self.discriminator(estimate), self.discriminator(audio)
        self.discriminator.requires_grad_(True)
        return {
            "adversarial": generator_adversarial_loss(fake.logits, self.config.adversary),
            "feature_matching": feature_matching_loss(real.features, fake.features),
        }

    def tensors(self) -> Tensors:
        """What a checkpoint keeps."""
        tensors = with_prefix("discriminator", dict(self.discriminator.named_parameters()))
        return tensors | with_prefix("discriminator_optimizer", optimizer_tensors(self.optimizer))

    @torch.no_grad()
    def load_tensors(self, tensors: Tensors) -> bool:
        """
        Takes what `tensors` gave, out of all tensors of a checkpoint.

        Returns:
            Whether they fit; a run that had no adversary leaves this one fresh, which fits.
        """
        saved, own = without_prefix("discriminator", tensors), dict(self.discriminator.named_parameters())
        if not saved:
            return True
        if {n: t.shape for n, t in saved.items()} != {n: t.shape for n, t in own.items()}:
            return False
        for name, parameter in own.items():
            parameter.copy_(saved[name])
        load_optimizer_tensors(self.optimizer, without_prefix("discriminator_optimizer", tensors))
        return True
