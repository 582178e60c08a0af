"""Ranges of tensors by the calibrator of onnxruntime.quantization.

python3 onnxruntime_ranges.py FOLDER BINS QUANTIZED_BINS PERCENTILE

FOLDER holds a folder for each tensor, with a file of 32-bit floats for each frame. Prints JSON: the smallest and the largest value by tensor
and method. Exit code 3 where the package is not there.
"""

import contextlib
import json
import pathlib
import sys

try:
    import numpy as np
    from onnxruntime.quantization.calibrate import HistogramCollector
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

folder, bins, quantized_bins, percentile = sys.argv[1:]
found = {}
for tensor in sorted(pathlib.Path(folder).iterdir()):
    ranges = found[tensor.name] = {}
    for method in ["percentile", "entropy"]:
        collector = HistogramCollector(method, False, int(bins), int(quantized_bins), float(percentile), None)
        # It tells its progress on the standard output.
        with contextlib.redirect_stdout(sys.stderr):
            for frame in sorted(tensor.iterdir()):
                collector.collect({"x": np.fromfile(frame, dtype="<f4")})
            low, high = collector.compute_collection_result()["x"][:2]
        ranges[method] = [float(low), float(high)]
        ranges["minmax"] = [float(value) for value in collector.get_histogram_dict()["x"][2:4]]
json.dump(found, sys.stdout)
