//! What a piece of work asked of the networks: passes and operations of their convolutions.
//!
//! Nothing is counted outside [`counted`], and counting changes no result.

use std::cell::RefCell;
use std::collections::BTreeMap;
use tch::Tensor;

/// Images that went through a network, by what was computed of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Values.
    pub forward: u64,
    /// Derivatives by the input or the parameters, taken backwards. A forward pass that records derivatives counts as one of these too.
    pub backward: u64,
    /// Derivatives along a direction, taken forwards.
    pub tangent: u64,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// By name of the network.
    pub passes: BTreeMap<String, Passes>,
    /// Floating-point operations of convolutions, two for a multiplication and its addition; of recorded ones also those of their
    /// derivatives by input and weight, where these are recorded.
    pub conv_flop: f64,
}

thread_local! {
    static WORK: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// Does a piece of work and counts what this thread asks of the networks meanwhile.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Work) {
    let outer = WORK.with(|w| w.borrow_mut().replace(Work::default()));
    let done = work();
    let found = WORK.with(|w| std::mem::replace(&mut *w.borrow_mut(), outer));
    (done, found.unwrap_or_default())
}

/// Adds passes of a network, of so many images each. `add` gets the network's counts.
pub fn count_passes(network: &str, add: impl FnOnce(&mut Passes)) {
    WORK.with(|w| {
        if let Some(work) = w.borrow_mut().as_mut() {
            add(work.passes.entry(network.to_owned()).or_default());
        }
    });
}

/// Adds operations of convolutions that are not recorded as [`crate::convolve`] sees them: a second pass backwards through one record.
pub fn count_conv_flop(flop: f64) {
    WORK.with(|w| {
        if let Some(work) = w.borrow_mut().as_mut() {
            work.conv_flop += flop;
        }
    });
}

/// Adds a convolution with this weight that made `y`, and its derivatives where they are recorded.
pub(crate) fn count_conv(x: &Tensor, weight: &Tensor, y: &Tensor) {
    WORK.with(|w| {
        let mut work = w.borrow_mut();
        let Some(work) = work.as_mut() else { return };
        let size = |t: &Tensor| t.size().into_iter().map(|n| n as f64).collect::<Vec<_>>();
        // Every value of the result is a sum over a kernel of one output channel.
        let values: f64 = size(y).iter().product();
        let kernel: f64 = size(weight).iter().skip(1).product();
        let derivatives = match y.requires_grad() {
            true => u8::from(x.requires_grad()) + u8::from(weight.requires_grad()),
            false => 0,
        };
        work.conv_flop += 2.0 * values * kernel * f64::from(1 + derivatives);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{Window, convolve};
    use tch::{Device, Kind};

    #[test]
    fn convolutions_and_their_recorded_derivatives_are_counted() {
        let x = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let weight = Tensor::ones([5, 3, 3, 3], (Kind::Float, Device::Cpu));
        let forward = 2.0 * (2 * 5 * 8 * 8 * 27) as f64;
        let flop =
            |x: &Tensor, weight: &Tensor| counted(|| convolve(x, weight, None, &Window::same(1)).unwrap()).1.conv_flop;
        assert_eq!(flop(&x, &weight), forward);
        let weight = weight.set_requires_grad(true);
        assert_eq!(flop(&x, &weight), 2.0 * forward);
        assert_eq!(flop(&x.set_requires_grad(true), &weight), 3.0 * forward);
    }

    #[test]
    fn nothing_is_counted_outside_and_inner_work_is_apart() {
        count_passes("a", |p| p.forward += 1);
        let (inner, outer) = counted(|| {
            count_passes("a", |p| p.forward += 2);
            counted(|| count_passes("a", |p| p.tangent += 3)).1
        });
        assert_eq!(inner.passes["a"], Passes { tangent: 3, ..Passes::default() });
        assert_eq!(outer.passes["a"], Passes { forward: 2, ..Passes::default() });
    }
}
