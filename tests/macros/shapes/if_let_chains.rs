//! `if let … && let …`, which needs edition 2024.

use grad_runtime::GradMode::{self, NoGrad};
use grad_runtime::grad_mode;
use grad_runtime::prelude::*;

use crate::common::{awaited, restored};

#[test]
fn in_bodies() {
    #[no_grad]
    fn plain(pair: Option<(u8, &str)>) -> (u8, GradMode) {
        if let Some((a, text)) = pair
            && let Ok(b) = text.parse::<u8>()
            && a > b
            && grad_mode() == NoGrad
        {
            return (a - b, grad_mode());
        }
        (0, grad_mode())
    }
    #[no_grad]
    fn loops(mut list: Vec<Option<u8>>) -> (u8, GradMode) {
        let mut sum = 0;
        while let Some(last) = list.pop()
            && let Some(value) = last
        {
            sum += value;
        }
        (sum, grad_mode())
    }
    #[no_grad]
    async fn resumed(pair: Option<(u8, &str)>) -> (u8, GradMode) {
        if let Some((a, text)) = std::future::ready(pair).await
            && let Ok(b) = text.parse::<u8>()
        {
            return (a + b, grad_mode());
        }
        (0, grad_mode())
    }

    assert_eq!(
        [plain(Some((3, "1"))), plain(Some((1, "3"))), plain(None)],
        [(2, NoGrad), (0, NoGrad), (0, NoGrad)]
    );
    assert_eq!(restored(loops(vec![Some(100), None, Some(1), Some(2)])), (3, NoGrad));
    assert_eq!(awaited(resumed(Some((3, "1")))), (4, NoGrad));
    assert_eq!(awaited(resumed(Some((3, "x")))), (0, NoGrad));
}

#[test]
fn in_blocks() {
    let pair = Some((1, Some(2)));
    let sum = no_grad! {
        if let Some((a, b)) = pair && let Some(b) = b { Some((a + b, grad_mode())) } else { None }
    };
    assert_eq!(restored(sum), Some((3, NoGrad)));
}
