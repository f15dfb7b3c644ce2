//! Converts text to token ids as sentence-transformers does for this model.

use anyhow::{Context, Result, anyhow};
use tokenizers::TruncationParams;

/// The maximum number of tokens of a text, including `[CLS]` and `[SEP]`: the `max_seq_length` that sentence-transformers
/// sets for the model. Further tokens are ignored.
pub const MAX_TOKENS: usize = 256;

/// The `WordPiece` tokenizer of all-MiniLM-L6-v2.
#[derive(Debug)]
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// If the contents do not describe a tokenizer.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(|error| {
            anyhow!(error).context("cannot read tokenizer.json: it does not describe a tokenizer")
        })?;
        // The file specifies 128 tokens and padding to that length; sentence-transformers overrides both.
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// Returns the token ids of each text, at most [`MAX_TOKENS`], without padding.
    ///
    /// # Errors
    ///
    /// If the tokenizer rejects a text.
    pub fn tokens<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let texts = texts.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
        let encodings = self
            .0
            .encode_batch_fast(texts, true)
            .map_err(|error| anyhow!(error))
            .context("cannot tokenize a text")?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }
}
