"""Which partition a key belongs to, as Kafka's own clients decide it.

The log's keys are user ids, and everything that asks "where does this user live?" has to give the
producer's answer: murmur2 as in the Java client (`org.apache.kafka.common.utils.Utils`), without
the sign bit, modulo the number of partitions. A producer with another partitioner (librdkafka's
default is CRC32) puts users elsewhere: there, set `partitioner=murmur2_random`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.sequences.hashing import byte_slices
from reaseq.types import Column, Int64s

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF
_WITHOUT_SIGN = 0x7FFFFFFF
_WORD_BYTES = 4


def partition_of(key: bytes, num_partitions: int) -> int:
    """The number of the partition in which records with this key lie."""
    return int(_murmur2(np.frombuffer(key, np.uint8)) % num_partitions)


def partitions_of(keys: Column, num_partitions: int) -> pa.Array:
    """`partition_of` for a column of strings (their UTF-8) or binaries; nulls are not allowed."""
    data, offsets = byte_slices(keys)
    return pa.array(_partitions(data, offsets, num_partitions))


@compiled
def _partitions(data: npt.NDArray[np.uint8], offsets: Int64s, num_partitions: int) -> Int64s:
    numbers = np.empty(len(offsets) - 1, np.int64)
    for row in range(len(numbers)):
        numbers[row] = _murmur2(data[offsets[row] : offsets[row + 1]]) % num_partitions
    return numbers


@compiled
def _murmur2(key: npt.NDArray[np.uint8]) -> np.int64:
    """31 bits; 32-bit arithmetic in 64-bit integers, cut to 32 bits after each product."""
    num_whole = len(key) // _WORD_BYTES * _WORD_BYTES
    mixed = np.int64(_SEED ^ len(key))
    for start in range(0, num_whole, _WORD_BYTES):
        word = _times(_little_endian(key, start, start + _WORD_BYTES))
        mixed = _times(mixed) ^ _times(word ^ (word >> 24))
    if num_whole < len(key):
        mixed = _times(mixed ^ _little_endian(key, num_whole, len(key)))
    mixed = _times(mixed ^ (mixed >> 13))
    return np.int64((mixed ^ (mixed >> 15)) & _WITHOUT_SIGN)


@compiled
def _times(word: np.int64) -> np.int64:
    # The product of two 32-bit numbers, whose upper half overflows harmlessly.
    return (word * _MULTIPLIER) & _MASK


@compiled
def _little_endian(key: npt.NDArray[np.uint8], start: int, end: int) -> np.int64:
    word = np.int64(0)
    for position in range(start, end):
        word |= np.int64(key[position]) << (8 * (position - start))
    return word
