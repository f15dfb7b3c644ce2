//! Messages of the shim as errors give them: MLX's own are marked, and those that users meet most are said plainly.

/// Messages of MLX, by their first words, and what errors say instead.
const PLAIN: &[(&str, &str)] = &[
    ("[eval] Attempting to eval an array during function transformations", IN_TRANSFORM),
    ("[async_eval] Not allowed inside a graph transformation", IN_TRANSFORM),
    ("[eval] Attempting to eval an array without a primitive", ESCAPED),
];

const IN_TRANSFORM: &str = "an array has no elements while `vmap` or `compile` calls the function that it depends on; return \
                            it from the function, or read it before";

const ESCAPED: &str = "an array from inside a function that `vmap` or `compile` called has no elements after the call; return it \
                       from the function";

/// Returns whether an evaluation failed for this reason: an array has neither elements nor a graph.
pub fn is_of_lost_elements(reason: &str) -> bool {
    reason == ESCAPED
}

/// Returns the reason that an error gives for a message of the shim.
///
/// The shim's own messages begin in lower case or with a shape. MLX's begin with a capital letter, or with the C++ function that
/// failed, in brackets.
pub fn reason(message: &str) -> String {
    if let Some((_, plain)) = PLAIN.iter().find(|(first_words, _)| message.starts_with(first_words)) {
        return (*plain).into();
    }
    let tagged = message.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match tagged.filter(|(tag, _)| tag.starts_with(|first: char| first.is_ascii_alphabetic())) {
        Some((function, text)) => tagged_reason(function, text.trim_end_matches('.')),
        None if message.starts_with(|first: char| first.is_ascii_uppercase()) => {
            format!("MLX reports: {}", message.trim_end_matches('.'))
        }
        None => message.into(),
    }
}

fn tagged_reason(function: &str, text: &str) -> String {
    match (function, text.strip_prefix("Not implemented for ")) {
        ("Primitive::vjp" | "Primitive::jvp", Some(operation)) => format!(
            "MLX has no {} of its operation {operation}; define the derivative with `custom_function`, or compute the operation \
             in a no-grad scope",
            function.trim_start_matches("Primitive::")
        ),
        _ => format!("MLX reports: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn messages_of_mlx_are_marked_and_others_unchanged() {
        for (message, expected) in [
            ("axis 0 has length 2", "axis 0 has length 2"),
            ("[0]..[2] by [1, 1] is not a range", "[0]..[2] by [1, 1] is not a range"),
            ("SmallVector out of range.", "MLX reports: SmallVector out of range"),
            ("[kron] Input arrays cannot be empty.", "MLX reports: Input arrays cannot be empty"),
            (
                "[Primitive::vjp] Not implemented for QRF.",
                "MLX has no vjp of its operation QRF; define the derivative with `custom_function`, or compute the operation in \
                 a no-grad scope",
            ),
            (
                "[async_eval] Not allowed inside a graph transformation.",
                "an array has no elements while `vmap` or `compile` calls the function that it depends on; return it from the \
                 function, or read it before",
            ),
        ] {
            assert_eq!(reason(message), expected);
        }
    }
}
