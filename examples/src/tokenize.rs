//! Text to token numbers, as sentence-transformers does it for this model.

use anyhow::{Context, Result, anyhow};
use tokenizers::TruncationParams;

/// The most tokens of a text that the model sees, `[CLS]` and `[SEP]` among them: the `max_seq_length` that
/// sentence-transformers ships with the model. What comes after is ignored.
pub const MAX_TOKENS: usize = 256;

/// The `WordPiece` tokenizer of all-MiniLM-L6-v2.
#[derive(Debug)]
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// If they do not describe a tokenizer.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| anyhow!(error).context("tokenizer.json does not describe a tokenizer"))?;
        // The file asks for 128 tokens, always padded: sentence-transformers overrides both.
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// The tokens of each text, at most [`MAX_TOKENS`], unpadded.
    ///
    /// # Errors
    ///
    /// If the tokenizer refuses a text.
    pub fn tokens<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let texts = texts.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
        let encodings = self
            .0
            .encode_batch_fast(texts, true)
            .map_err(|error| anyhow!(error))
            .context("the tokenizer refuses a text")?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }
}
