//! Normalisation of channels: by running statistics, or by those of a batch, which several ranks may have in common.

use crate::mode::Mode;
use crate::params::Params;
use caf_net::Norm;
use std::cell::Cell;
use tch::{Kind, TchError, Tensor};

/// Images, rows, columns: what a channel's statistics are taken over.
const AXES: [i64; 3] = [0, 2, 3];

thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Decides whether networks that this thread evaluates are normalised by the statistics of each rank's own part of a batch, in place of
/// those of the whole, which are the default and cost two sums over the ranks a normalisation. A process alone has only one batch.
pub fn set_own_statistics(own: bool) {
    OWN.set(own);
}

/// Ranks whose parts of a batch give the statistics together.
pub(crate) fn parts_of_batch() -> usize {
    if OWN.get() { 1 } else { caf_ranks::size() }
}

/// The mean of each channel of `[n, c, h, w]` over the batch, `[1, c, 1, 1]`.
pub(crate) fn batch_mean(x: &Tensor) -> Result<Tensor, TchError> {
    let own = x.f_mean_dim(AXES.as_slice(), true, None::<Kind>)?;
    match parts_of_batch() {
        1 => Ok(own),
        // Parts are equal.
        parts => caf_ranks::sum(&own)?.f_div_scalar(parts as f64),
    }
}

/// A value by the statistics of a batch that the ranks have in common.
pub(crate) struct Centred {
    /// x − μ.
    pub x: Tensor,
    /// μ.
    mean: Tensor,
    /// σ², of the values as they are.
    variance: Tensor,
    /// 1 / σ.
    pub over_sigma: Tensor,
}

impl Centred {
    pub fn of(x: &Tensor, eps: f64) -> Result<Self, TchError> {
        let mean = batch_mean(x)?;
        let x = x.f_sub(&mean)?;
        let variance = batch_mean(&x.f_square()?)?;
        let over_sigma = variance.f_add_scalar(eps)?.f_rsqrt()?;
        Ok(Centred { x, mean, variance, over_sigma })
    }
}

pub(crate) fn apply(norm: &Norm, params: &Params, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
    let [weight, bias, mean, variance] =
        [norm.weight, norm.bias, norm.running_mean, norm.running_var].map(|id| params.get(id));
    let trains = matches!(mode, Mode::Train { .. });
    if trains {
        // The handle is shared, so the count moves in place.
        let _ = params.get(norm.batches).shallow_clone().f_add_scalar_(1)?;
    }
    if mode == Mode::Eval || parts_of_batch() == 1 {
        let of_own_part = trains && caf_ranks::size() > 1;
        // What autograd keeps must not move afterwards.
        let moving = |running: &Tensor| if of_own_part { running.f_detach_copy() } else { Ok(running.shallow_clone()) };
        let statistics = [moving(mean)?, moving(variance)?];
        let [running_mean, running_variance] =
            statistics.each_ref().map(|s| (mode != Mode::BatchStatistics).then_some(s));
        let from_batch = mode != Mode::Eval;
        let (m, eps) = (norm.momentum, norm.eps);
        let result =
            x.f_batch_norm(Some(weight), Some(bias), running_mean, running_variance, from_batch, m, eps, true)?;
        if of_own_part {
            // Each rank has moved them by its own part; a state holds one set.
            for (running, common) in [mean, variance].into_iter().zip(&caf_ranks::means(statistics.into())?) {
                replace(running, common)?;
            }
        }
        return Ok(result);
    }
    let by_channel = |t: &Tensor| t.f_view([1, -1, 1, 1]);
    let centred = Centred::of(x, norm.eps)?;
    if trains {
        let channels = x.size().get(1).copied().unwrap_or(1).max(1);
        let values = (x.numel() as i64 / channels) as f64 * parts_of_batch() as f64;
        for (running, now, unbiased) in
            [(mean, &centred.mean, 1.0), (variance, &centred.variance, values / (values - 1.0))]
        {
            let step = now.f_detach()?.f_view([-1])?.f_mul_scalar(norm.momentum * unbiased)?;
            replace(running, &running.f_mul_scalar(1.0 - norm.momentum)?.f_add(&step)?)?;
        }
    }
    let normalised = centred.x.f_mul(&centred.over_sigma)?;
    by_channel(bias)?.f_addcmul(&normalised, &by_channel(weight)?)
}

/// Writes into a tensor that others hold too.
fn replace(tensor: &Tensor, by: &Tensor) -> Result<(), TchError> {
    let _guard = tch::no_grad_guard();
    tensor.shallow_clone().f_copy_(by)
}
