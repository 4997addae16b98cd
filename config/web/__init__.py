"""What surrounds every page: middleware, errors, language, style sheet, uploads and the context of templates."""
