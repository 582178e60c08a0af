//! Complete IoU of matched boxes.

use tch::{TchError, Tensor};

/// Added to the union, to the squared diagonal and, as 1 + ε, to the denominator of the aspect weight.
const EPS: f64 = 1e-7;

struct Corners {
    x1: Tensor,
    y1: Tensor,
    x2: Tensor,
    y2: Tensor,
    w: Tensor,
    h: Tensor,
}

fn corners(boxes: &Tensor) -> Result<Corners, TchError> {
    let column = |i: i64| boxes.f_select(1, i);
    let (x, y, w, h) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let (half_w, half_h) = (w.f_div_scalar(2.0)?, h.f_div_scalar(2.0)?);
    Ok(Corners { x1: x.f_sub(&half_w)?, y1: y.f_sub(&half_h)?, x2: x.f_add(&half_w)?, y2: y.f_add(&half_h)?, w, h })
}

/// Complete IoU, pair by pair: IoU − squared centre distance / squared diagonal of the common hull − α·v, where v measures the
/// difference of the aspect angles (Zheng et al., 2020). α is a constant for the gradient, as in the original.
///
/// Both inputs `[n, 4]`: centre x, centre y, width, height in any unit, sizes > 0. Result `[n]`, in (−1.5…, 1].
///
/// # Errors
/// When libtorch refuses the shapes.
pub fn ciou(predicted: &Tensor, wanted: &Tensor) -> Result<Tensor, TchError> {
    let (p, t) = (corners(predicted)?, corners(wanted)?);
    let overlap = |lo_p: &Tensor, lo_t: &Tensor, hi_p: &Tensor, hi_t: &Tensor| -> Result<Tensor, TchError> {
        hi_p.f_minimum(hi_t)?.f_sub(&lo_p.f_maximum(lo_t)?)?.f_clamp_min(0.0)
    };
    let inter = overlap(&p.x1, &t.x1, &p.x2, &t.x2)?.f_mul(&overlap(&p.y1, &t.y1, &p.y2, &t.y2)?)?;
    let union = p.w.f_mul(&p.h)?.f_add(&t.w.f_mul(&t.h)?)?.f_sub(&inter)?.f_add_scalar(EPS)?;
    let iou = inter.f_div(&union)?;

    let hull_w = p.x2.f_maximum(&t.x2)?.f_sub(&p.x1.f_minimum(&t.x1)?)?;
    let hull_h = p.y2.f_maximum(&t.y2)?.f_sub(&p.y1.f_minimum(&t.y1)?)?;
    let diagonal = hull_w.f_square()?.f_add(&hull_h.f_square()?)?.f_add_scalar(EPS)?;
    let twice_dx = t.x1.f_add(&t.x2)?.f_sub(&p.x1)?.f_sub(&p.x2)?;
    let twice_dy = t.y1.f_add(&t.y2)?.f_sub(&p.y1)?.f_sub(&p.y2)?;
    let distance = twice_dx.f_square()?.f_add(&twice_dy.f_square()?)?.f_div_scalar(4.0)?;

    let angle_t = t.w.f_div(&t.h)?.f_atan()?;
    let angle_p = p.w.f_div(&p.h)?.f_atan()?;
    let v = angle_t.f_sub(&angle_p)?.f_square()?.f_mul_scalar(4.0 / (std::f64::consts::PI * std::f64::consts::PI))?;
    let alpha = {
        let (v, iou) = (v.f_detach()?, iou.f_detach()?);
        v.f_div(&v.f_sub(&iou)?.f_add_scalar(1.0 + EPS)?)?
    };
    iou.f_sub(&distance.f_div(&diagonal)?.f_add(&v.f_mul(&alpha)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(rows: &[[f32; 4]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([rows.len() as i64, 4])
    }

    #[test]
    fn equal_boxes_give_one() {
        let b = boxes(&[[0.5, 0.5, 2.0, 3.0]]);
        let value = ciou(&b, &b).unwrap().double_value(&[0]);
        assert!((value - 1.0).abs() < 1e-6, "{value}");
    }

    #[test]
    fn a_hand_computed_pair() {
        // 2×2 at (1, 1) and 2×1 at (2, 1): intersection 1, union 5; hull 3×2; centres 1 apart.
        let value = ciou(&boxes(&[[1.0, 1.0, 2.0, 2.0]]), &boxes(&[[2.0, 1.0, 2.0, 1.0]])).unwrap().double_value(&[0]);
        let (iou, distance) = (1.0 / 5.0, 1.0 / 13.0);
        let v = 4.0 / std::f64::consts::PI.powi(2) * (2f64.atan() - 1f64.atan()).powi(2);
        let expected = iou - distance - v * v / (v - iou + 1.0);
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }

    #[test]
    fn far_boxes_still_have_a_gradient() {
        let p = boxes(&[[0.0, 0.0, 1.0, 1.0]]).set_requires_grad(true);
        ciou(&p, &boxes(&[[10.0, 0.0, 1.0, 1.0]])).unwrap().sum(tch::Kind::Float).backward();
        assert!(p.grad().double_value(&[0, 0]) > 0.0);
    }
}
