from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from penjing.core.types import NDArray
from penjing.training.nets import augment
from penjing.training.nets.augment import Augmentation
from penjing.training.nets.augment_options import AugmentConfig

COUNT, SIZE = 24, 32
OFF = {"flip": False, "crop": 0.0}
MOVES = {"flip": True, "crop": 0.2, "scale": 0.3, "rotate": 30}
COLOURS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "blur": 1.5, "noise": 0.1}
ALONE = MOVES | COLOURS
EVERYTHING = ALONE | {"mixup": 0.4, "cutmix": 1.0}


@pytest.fixture(scope="module")
def images() -> NDArray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def target() -> NDArray:
    return np.eye(3, dtype=np.float32)[np.arange(COUNT) % 3]


def changed(images: NDArray, target: NDArray, epoch: int = 0, seed: int = 0, rows: Any = None, **config: Any) -> tuple[NDArray, NDArray]:
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    inputs, mixed = Augmentation(AugmentConfig(**(OFF | config)), seed)({"pixels": images[rows], "other": rows}, target[rows], rows, epoch)
    assert np.array_equal(inputs["other"], rows)
    found = np.asarray(inputs["pixels"])
    assert (found.dtype, found.shape) == (np.uint8, (len(rows), *images.shape[1:]))
    assert (mixed.dtype, mixed.shape) == (np.float32, target[rows].shape)
    return found, mixed


def test_every_key_is_tried_below() -> None:
    assert set(EVERYTHING) == set(AugmentConfig.model_fields)


def test_with_everything_off_nothing_changes(images: NDArray, target: NDArray) -> None:
    found, mixed = changed(images, target)
    assert np.array_equal(found, images)
    assert np.array_equal(mixed, target)


@pytest.mark.parametrize("key", EVERYTHING)
def test_each_change_does_something_by_itself_and_grows_with_its_strength(key: str, images: NDArray, target: NDArray) -> None:
    smooth = np.clip(images // 4 + np.linspace(0, 150, SIZE)[None, :, None, None], 0, 255).astype(np.uint8)
    strong, mixed = changed(smooth, target, **{key: EVERYTHING[key]})
    assert not np.array_equal(strong, smooth)
    assert np.array_equal(mixed, target) == (key not in ("mixup", "cutmix"))
    if key in ALONE and key != "flip":
        weak, _ = changed(smooth, target, **{key: EVERYTHING[key] / 8})
        assert np.abs(weak.astype(int) - smooth).mean() < np.abs(strong.astype(int) - smooth).mean()


def test_flipping_mirrors_about_half_of_the_images_exactly(images: NDArray, target: NDArray) -> None:
    found, _ = changed(images, target, flip=True)
    kinds = [0 if np.array_equal(a, b) else 1 if np.array_equal(a, b[:, ::-1]) else 2 for a, b in zip(found, images, strict=True)]
    assert set(kinds) == {0, 1}
    assert 6 <= sum(kinds) <= 18


def test_cropping_moves_by_whole_pixels_within_its_bound(images: NDArray, target: NDArray) -> None:
    found, _ = changed(images, target, crop=0.1)
    moves = set()
    for ours, theirs in zip(found, images, strict=True):
        wide = np.pad(theirs, ((3, 3), (3, 3), (0, 0)), mode="symmetric")
        here = [(i - 3, j - 3) for i in range(7) for j in range(7) if np.array_equal(ours, wide[i : i + SIZE, j : j + SIZE])]
        assert here, "an image is moved by up to three of its 32 pixels, and mirrored at its edge"
        moves.add(here[0])
    assert len(moves) > 10


def test_turning_by_a_right_angle_is_exact_and_scaling_grows_what_is_in_the_middle() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    sure = augment._Drawn(np.where(np.array(augment._DRAWN) == "rotate", 1.0, 0.5)[None], [[0]])
    turned = augment._moved(augment.torch.from_numpy(picture).permute(0, 3, 1, 2).float(), sure, AugmentConfig(**OFF, rotate=90))
    assert np.abs(turned[0].permute(1, 2, 0).numpy() - np.rot90(picture[0])).max() < 0.1
    square = np.zeros((1, 3, SIZE, SIZE), np.float32)
    square[:, :, 12:20, 12:20] = 255
    larger = augment._Drawn(np.where(np.array(augment._DRAWN) == "scale", 1.0, 0.5)[None], [[0]])
    grown = augment._moved(augment.torch.from_numpy(square), larger, AugmentConfig(**OFF, scale=0.5))
    assert float(grown.mean() / square.mean()) == pytest.approx(1.5**2, rel=0.05)


def test_colours_change_as_their_names_say(images: NDArray, target: NDArray) -> None:
    middle = (images // 2 + 64).astype(np.uint8)
    brighter, _ = changed(middle, target, brightness=0.3)
    factors = brighter.mean(axis=(1, 2, 3)) / middle.mean(axis=(1, 2, 3))
    assert factors.min() < 0.85
    assert factors.max() > 1.15
    contrast, _ = changed(middle, target, contrast=0.3)
    assert np.abs(contrast.mean(axis=(1, 2, 3)) - middle.mean(axis=(1, 2, 3))).max() < 1.5
    assert (contrast.std(axis=(1, 2, 3)) / middle.std(axis=(1, 2, 3))).max() > 1.15
    saturated, _ = changed(middle, target, saturation=0.3)
    grey = np.array([0.299, 0.587, 0.114])
    assert np.abs((saturated @ grey) - (middle @ grey)).mean() < 0.6
    assert not np.array_equal(saturated, middle)
    plain = np.repeat(middle[:, :, :, :1], 3, axis=3)
    assert np.array_equal(changed(plain, target, saturation=0.9)[0], plain), "grey stays grey"


def test_blur_is_gaussian_and_of_another_width_for_each_image(images: NDArray, target: NDArray) -> None:
    from scipy.ndimage import gaussian_filter

    found, _ = changed(images, target, blur=2.0)
    widths = 2.0 * augment._drawn(0, 0, np.arange(COUNT))["blur"]
    assert np.ptp(widths) > 1
    for ours, theirs, width in zip(found, images, widths, strict=True):
        expected = gaussian_filter(theirs.astype(float), (width, width, 0), mode="mirror", radius=(5, 5, 0))
        assert np.abs(ours - expected).max() < 0.51  # rounded to whole numbers


def test_noise_is_normal_and_differs_from_image_to_image_and_from_colour_to_colour(target: NDArray) -> None:
    grey = np.full((COUNT, SIZE, SIZE, 3), 128, np.uint8)
    found = changed(grey, target, noise=0.1)[0].astype(float) - 128
    widths = 25.5 * augment._drawn(0, 0, np.arange(COUNT))["noise"]
    assert found.std(axis=(1, 2, 3)) == pytest.approx(np.sqrt(widths**2 + 1 / 12), rel=0.05, abs=0.1)
    loud = found[widths > 10].reshape(-1, SIZE * SIZE * 3)
    assert np.abs(np.corrcoef(loud) - np.eye(len(loud))).max() < 0.1
    assert abs(np.corrcoef(loud[:, 0::3].ravel(), loud[:, 1::3].ravel())[0, 1]) < 0.1


def test_mixup_mixes_answers_as_it_mixes_images(images: NDArray, target: NDArray) -> None:
    found, mixed = changed(images, target, mixup=1.0)
    assert np.allclose(mixed.sum(axis=1), 1, atol=1e-6)
    assert ((mixed > 0.01).sum(axis=1) == 2).any()
    for ours, share, own, label in zip(found, mixed, images, target, strict=True):
        kept = float(share @ label)
        fits = [np.abs(kept * own + (1 - kept) * other - ours).max() for other in images]
        assert min(fits) < 1 or kept == pytest.approx(1), "the share that the answer keeps is that of the image"


def test_cutmix_takes_the_answer_of_as_much_as_it_pastes(images: NDArray, target: NDArray) -> None:
    found, mixed = changed(images, target, cutmix=1.0)
    kept = np.array([(ours == own).all(axis=2).mean() for ours, own in zip(found, images, strict=True)])
    shares = (mixed * target).sum(axis=1)
    other = shares < 0.999
    assert other.sum() > 5
    assert np.abs(kept - shares)[other].max() < 0.01
    assert kept.min() < 0.7


def test_with_both_some_images_are_mixed_and_some_pasted_into(images: NDArray, target: NDArray) -> None:
    found, _ = changed(images, target, cutmix=1.0, mixup=1.0)
    kept = np.array([(ours == own).all(axis=2).mean() for ours, own in zip(found, images, strict=True)])
    assert (kept < 0.05).sum() > 3
    assert (kept > 0.2).sum() > 3


def test_numbers_to_be_learnt_are_mixed_like_shares(images: NDArray) -> None:
    numbers = np.linspace(-2, 2, COUNT, dtype=np.float32)[:, None]
    _, mixed = changed(images, numbers, mixup=1.0)
    assert -2 <= mixed.min() < mixed.max() <= 2
    assert not np.array_equal(mixed, numbers)


def test_what_happens_is_a_function_of_seed_epoch_and_row(images: NDArray, target: NDArray) -> None:
    first, _ = changed(images, target, **EVERYTHING)
    assert np.array_equal(first, changed(images, target, **EVERYTHING)[0])
    for other in ({"epoch": 1}, {"seed": 1}):
        again, _ = changed(images, target, **other, **EVERYTHING)
        assert sum(np.array_equal(a, b) for a, b in zip(first, again, strict=True)) == 0


def test_an_image_is_changed_alike_whatever_stands_beside_it(images: NDArray, target: NDArray) -> None:
    whole, _ = changed(images, target, **ALONE)
    for rows in ([7], [3, 20, 7], list(range(23, -1, -1))):
        assert np.array_equal(changed(images, target, rows=rows, **ALONE)[0], whole[rows])


@pytest.mark.parametrize("key", ALONE)
def test_switching_one_change_off_draws_the_others_as_before(key: str, images: NDArray, target: NDArray) -> None:
    rest = augment._drawn(0, 0, np.arange(COUNT)).numbers
    assert np.array_equal(rest, augment._drawn(0, 0, np.arange(COUNT)).numbers)
    alone, _ = changed(images, target, flip=True)
    beside, _ = changed(images, target, **({"flip": True} | {key: 1e-9 if key != "flip" else True}))
    assert np.abs(alone.astype(int) - beside).max() <= 1


def test_images_are_not_changed_in_place(images: NDArray, target: NDArray) -> None:
    before, answers = images.copy(), target.copy()
    changed(images, target, **EVERYTHING)
    assert np.array_equal(images, before)
    assert np.array_equal(target, answers)
    fixed = images[:2].copy()
    fixed.flags.writeable = False  # as arrays mapped into memory are
    Augmentation(AugmentConfig(), 0)({"pixels": fixed}, target[:2], np.arange(2), 0)


@pytest.mark.parametrize(("key", "value"), [("crop", 0.6), ("rotate", -1), ("brightness", 1.5), ("mixup", -0.1), ("shear", 1)])
def test_strengths_out_of_bounds_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        AugmentConfig.model_validate({key: value})
