"""Lines that stages share."""

from rnfm.downstream.summary import auc_lines


def test_one_line_a_method_in_a_fixed_order_of_splits():
    assert auc_lines({"b": {"external": 0.7, "cv": 0.8126}, "a": {}}) == [
        "a: AUC not defined (one class only in every split)",
        "b: AUC cv 0.813, external 0.700",
    ]
