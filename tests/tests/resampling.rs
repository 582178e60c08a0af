//! One resampling rule: what training sees through a view is what evaluation and vehicle see through the graph's letterbox.

use caf_data::View;
use caf_geometry::{Letterbox, Size};
use caf_image::Plane;
use caf_net::{Builder, Dim, Op, TensorType};
use caf_reference::Array;
use caf_weights::Weights;

/// Gray of the border, as the pipeline has it.
const GRAY: f64 = 114.0 / 255.0;

/// A texture with detail at every scale, so that a low-pass filter or a shift of half a pixel would show.
fn texture(size: Size) -> Vec<f32> {
    let value = |x: usize, y: usize| ((x * 37 + y * 101 + x * y * 13) % 256) as f32 / 255.0;
    (0..size.height).flat_map(|y| (0..size.width).map(move |x| value(x, y))).collect()
}

#[test]
fn a_view_of_a_letterbox_is_the_letterbox_of_the_graph() {
    let target = Size::new(96, 64);
    let (mut worst, mut compared, mut shrunk) = (0.0f64, 0, 0);
    for (width, height) in [(96, 64), (97, 63), (48, 32), (40, 90), (211, 37), (320, 240), (500, 331), (3, 5)] {
        let source = Size::new(width, height);
        let pixels = texture(source);

        let mut b = Builder::new("letterbox");
        let extent = Dim::Fixed;
        let image = b.input("image", TensorType::nchw(extent(1), 1, extent(height), extent(width))).unwrap();
        let seen = b.node("letterbox", Op::Letterbox { size: target, value: GRAY }, &[image]).unwrap();
        b.output("seen", seen);
        let array = Array::new(vec![1, 1, height, width], pixels.iter().map(|v| f64::from(*v)).collect());
        let expected = caf_reference::run(&b.finish(), &Weights::new(), &[array]).remove(0);

        let fit = Letterbox::within(source, target).unwrap();
        let Size { width: columns, height: rows } = fit.resized;
        let scale = (columns as f64 / width as f64, rows as f64 / height as f64);
        let shift = (fit.left_right.0 as f64, fit.top_bottom.0 as f64);
        let view = View::new(source, target, scale, shift).unwrap();
        let found = view.render(&Plane::new(source, pixels).unwrap(), GRAY as f32).unwrap();

        assert_eq!(found.data().len(), expected.values.len());
        for (found, expected) in found.data().iter().zip(&expected.values) {
            worst = worst.max((f64::from(*found) - expected).abs());
            compared += 1;
        }
        shrunk += usize::from(scale.0 < 0.5);
    }
    println!("compared {compared} pixels, largest difference {worst:.1e}");
    assert!(shrunk >= 2, "sizes that shrink by more than half are among them");
    // Weights are rounded to single precision: half a unit in the last place of 1, three times a pixel.
    assert!(worst <= 3.0 * f64::from(f32::EPSILON), "{worst:.1e}");
}
