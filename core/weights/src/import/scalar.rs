//! Opcodes that push one constant.

use super::cursor::Cursor;
use super::opcode as op;
use super::stack::Step;
use super::value::Value;

/// Reads the argument of a constant's opcode.
pub(super) fn read(byte: u8, cursor: &mut Cursor<'_>) -> Step<Value> {
    Ok(match byte {
        op::NONE => Value::None,
        op::NEWTRUE => Value::Bool(true),
        op::NEWFALSE => Value::Bool(false),
        op::BININT => Value::Int(cursor.i32()?.into()),
        op::BININT1 => Value::Int(cursor.u8()?.into()),
        op::BININT2 => Value::Int(cursor.u16()?.into()),
        op::INT => match cursor.line()? {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            digits => decimal(digits)?,
        },
        op::LONG => {
            let line = cursor.line()?;
            decimal(line.strip_suffix('L').unwrap_or(line))?
        }
        op::LONG1 => {
            let n = cursor.u8()?;
            long(cursor.take(n.into())?)
        }
        op::LONG4 => {
            let n = u64::try_from(cursor.i32()?).map_err(|_| "its length is negative")?;
            long(cursor.take_u64(n)?)
        }
        op::FLOAT => {
            cursor.line()?.trim().parse::<f64>().map_err(|_| "the number is no number")?;
            Value::Float
        }
        op::BINFLOAT => {
            cursor.take(8)?;
            Value::Float
        }
        op::STRING => {
            let line = cursor.line()?;
            let quoted = line.strip_prefix('\'').and_then(|s| s.strip_suffix('\''));
            let quoted = quoted.or_else(|| line.strip_prefix('"').and_then(|s| s.strip_suffix('"')));
            plain(quoted.ok_or("the string has no quotes")?)?
        }
        op::UNICODE => plain(cursor.line()?)?,
        op::BINSTRING => {
            let n = u64::try_from(cursor.i32()?).map_err(|_| "its length is negative")?;
            python2_text(cursor.take_u64(n)?)
        }
        op::SHORT_BINSTRING => {
            let n = cursor.u8()?;
            python2_text(cursor.take(n.into())?)
        }
        op::SHORT_BINUNICODE => {
            let n = cursor.u8()?;
            text(cursor.take(n.into())?)?
        }
        op::BINUNICODE => {
            let n = cursor.u32()?;
            text(cursor.take_u64(n.into())?)?
        }
        op::BINUNICODE8 => {
            let n = cursor.u64()?;
            text(cursor.take_u64(n)?)?
        }
        op::SHORT_BINBYTES => {
            let n = cursor.u8()?;
            cursor.take(n.into())?;
            Value::Bytes
        }
        op::BINBYTES => {
            let n = cursor.u32()?;
            cursor.take_u64(n.into())?;
            Value::Bytes
        }
        op::BINBYTES8 | op::BYTEARRAY8 => {
            let n = cursor.u64()?;
            cursor.take_u64(n)?;
            Value::Bytes
        }
        _ => return Err("this opcode is not understood".into()),
    })
}

fn decimal(digits: &str) -> Step<Value> {
    match digits.trim().parse::<i64>() {
        Ok(value) => Ok(Value::Int(value)),
        Err(_) => Err("the number is no 64-bit integer".into()),
    }
}

/// Little-endian two's complement of any length.
fn long(bytes: &[u8]) -> Value {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::LongInt(bytes.into()),
    }
}

fn text(bytes: &[u8]) -> Step<Value> {
    Ok(Value::Str(std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8")?.into()))
}

/// Strings of Python 2: UTF-8 where it is, else one character a byte.
fn python2_text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Str(text.into()),
        Err(_) => Value::Str(bytes.iter().map(|b| char::from(*b)).collect::<String>().into()),
    }
}

/// Text of protocol 0, where a backslash begins an escape.
fn plain(line: &str) -> Step<Value> {
    if line.contains('\\') {
        return Err("escapes in text of protocol 0 are not supported".into());
    }
    Ok(Value::Str(line.into()))
}
