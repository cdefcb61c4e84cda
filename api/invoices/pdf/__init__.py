"""An invoice as PDF: the data of a document, and the one call that renders it."""

from api.invoices.pdf.render import Company as Company
from api.invoices.pdf.render import DocumentLine as DocumentLine
from api.invoices.pdf.render import InvoiceDocument as InvoiceDocument
from api.invoices.pdf.render import render_pdf as render_pdf
