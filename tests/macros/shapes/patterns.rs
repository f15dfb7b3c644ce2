//! Patterns of arguments.
#![expect(clippy::trivially_copy_pass_by_ref)]

use grad_runtime::GradMode::{self, Enabled, NoGrad};
use grad_runtime::grad_mode;
use grad_runtime::prelude::*;

use crate::common::{awaited, restored};

#[derive(Clone, Copy)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Clone, Copy)]
struct Pair(i32, Point);

const POINT: Point = Point { x: 1, y: 2 };

#[test]
fn tuples_structs_and_slices() {
    #[no_grad]
    fn tuple((a, b): (i32, i32), (): ()) -> (i32, GradMode) {
        (a - b, grad_mode())
    }
    #[no_grad]
    fn structure(Point { x, y: renamed }: Point, Point { y, .. }: Point) -> (i32, GradMode) {
        (x * 100 + renamed * 10 + y, grad_mode())
    }
    #[no_grad]
    fn nested(
        Pair(a, Point { x: b @ 0.., .. } | Point { y: b, .. }): Pair,
        [first, .., (c, _)]: [(i32, i32); 3],
    ) -> i32 {
        assert_eq!(grad_mode(), NoGrad);
        a + b + first.0 + c
    }
    #[set_grad_enabled(x > y)]
    fn condition(Point { x, y }: Point) -> GradMode {
        grad_mode()
    }

    assert_eq!(restored(tuple((5, 3), ())), (2, NoGrad));
    assert_eq!(restored(structure(POINT, POINT)), (122, NoGrad));
    assert_eq!(restored(nested(Pair(10, POINT), [(100, 0), (0, 0), (1000, 0)])), 1111);
    assert_eq!(restored(nested(Pair(10, Point { x: -1, y: 5 }), [(0, 0); 3])), 15);
    assert_eq!((condition(POINT), condition(Point { x: 3, y: 2 })), (NoGrad, Enabled));
}

#[test]
fn references_and_bindings() {
    #[no_grad]
    fn reference(&a: &i32, &(b, ref c): &(i32, String), &mut d: &mut i32) -> (i32, usize, GradMode) {
        (a + b + d, c.len(), grad_mode())
    }
    #[no_grad]
    fn mutable(mut total: i32, (mut a, ref mut b): (i32, i32)) -> (i32, GradMode) {
        a *= 2;
        *b *= 3;
        total += a + *b;
        (total, grad_mode())
    }
    #[no_grad]
    fn bound(whole @ Point { x, .. }: Point) -> (i32, GradMode) {
        (whole.x + whole.y + x, grad_mode())
    }
    #[no_grad]
    fn through_a_reference(Point { x, y }: &mut Point, [.., last]: &[i32; 2]) -> GradMode {
        *x += last;
        *y = 0;
        grad_mode()
    }

    assert_eq!(restored(reference(&1, &(2, "abc".to_owned()), &mut 4)), (7, 3, NoGrad));
    assert_eq!(restored(mutable(1, (10, 100))), (321, NoGrad));
    assert_eq!(restored(bound(POINT)), (4, NoGrad));
    let mut point = POINT;
    assert_eq!(restored(through_a_reference(&mut point, &[5, 6])), NoGrad);
    assert_eq!((point.x, point.y), (7, 0));
}

#[test]
fn ignored() {
    #[no_grad]
    fn wildcards(_: String, (_, a): (String, i32), _unused: Vec<u8>) -> (i32, GradMode) {
        (a, grad_mode())
    }
    assert_eq!(restored(wildcards(String::new(), (String::new(), 1), vec![])), (1, NoGrad));
}

#[test]
fn of_async_functions() {
    #[no_grad]
    #[expect(clippy::many_single_char_names)]
    async fn all(
        (a, mut b): (i32, i32),
        Pair(c, Point { y, .. }): &Pair,
        &d: &i32,
        mut e: Vec<i32>,
        _: String,
    ) -> (i32, GradMode) {
        b += 1;
        std::future::ready(()).await;
        e.push(a + b + c + y + d);
        (e.iter().sum(), grad_mode())
    }
    #[set_grad_enabled(x > y)]
    async fn condition(Point { x, y }: Point, mut z: i32) -> (i32, GradMode) {
        z += x;
        (z, grad_mode())
    }

    assert_eq!(awaited(all((1, 10), &Pair(100, POINT), &1000, vec![10_000], String::new())), (11_114, NoGrad));
    assert_eq!(awaited(condition(POINT, 5)), (6, NoGrad));
}
