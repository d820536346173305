"""rivals: the published numbers of the rules that the benchmark compares the gate with."""

import importlib.util
import math

import numpy as np
import pytest
from conftest import ROOT
